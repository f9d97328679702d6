"""Route 1: muscle activation from EMG."""
