"""The filter and the segmenter: training, predictions and evaluation."""
