"""The numpy network against the CNNs on MNIST, from recorded runs."""
