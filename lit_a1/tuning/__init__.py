"""What all hyper-parameter searches share: ranges, trials and their words, the journal, the figure."""
