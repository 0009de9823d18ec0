"""Networks in NumPy alone, from one image at a time to a convolutional network."""
