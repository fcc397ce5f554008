"""Where images come from: folders and zip files in the layouts they are published in, downloads, drawings."""
