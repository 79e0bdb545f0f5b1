VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
