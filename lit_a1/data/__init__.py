"""From files to uint8 arrays to augmented batches on the device. Nothing else of the project is imported here.

`sources/` finds, fetches or draws the files; `decode` and `cache` make arrays of photos, `mnist` of digits; `split`
holds some out; `batch` cuts batches, and `augment` (with `resample` and `mix`) alters those of training. `catsdogs` and
`mnist_module` are what Lightning is given. `audit` looks for what is wrong with a set of photos.
"""
