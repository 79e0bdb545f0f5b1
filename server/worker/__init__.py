"""The worker process: it serves predictions and follows the target that control sends."""
