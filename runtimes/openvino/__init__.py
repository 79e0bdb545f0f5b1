"""The OpenVINO runtime: ``model.xml`` with ``model.bin``."""
