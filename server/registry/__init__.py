"""The model registry on disk: scan, intake, private copies, manifests, publishing."""
