"""Where images come from: folders and zip files in their published layouts, downloads, drawings."""
