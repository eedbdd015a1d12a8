"""Speed-ups: what makes hfcli faster on the machine and versions at hand, and may step aside."""
