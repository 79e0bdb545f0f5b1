"""The control process: registry, desired state, rollouts, admin port."""
