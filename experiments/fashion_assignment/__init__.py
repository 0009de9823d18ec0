"""The course's Fashion-MNIST assignment: train, grade and submit. Its program is __main__.py."""
