"""ImageSentinel: keyed images planted in a data set, and the proof that a generator used it."""
