"""From files to uint8 arrays to augmented batches on the device."""
