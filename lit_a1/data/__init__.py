"""From files to uint8 arrays to augmented batches on the device. Imports nothing else of the project.

`sources/` finds, downloads or draws the files. `decode` and `cache` make arrays of photos, `mnist` arrays of digits.
`split` holds out a validation set. `batch` cuts batches; `augment` (with `resample` and `mix`) augments them.
`catsdogs` and `mnist_module` are the data modules for Lightning. `audit` looks for faults in a set of photos.
"""
