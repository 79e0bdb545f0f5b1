"""The PyTorch runtime: ``model.pt2`` of torch.export, and TorchScript ``model.pt``."""
