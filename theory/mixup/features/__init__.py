"""Feature learning under mixup: exact dynamics and laws."""
