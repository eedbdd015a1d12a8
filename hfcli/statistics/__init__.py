"""How sure a number is: intervals of a metric, and whether two runs differ by more than chance.

Everything that is resampled is a function of row weights (`hfcli.statistics.weights`), so that
thousands of replicates are a few passes over arrays. Knows nothing about models, files or tasks.
"""
