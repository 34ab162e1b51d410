"""The rollup: triggers that count, and the commands that install, verify and remove them."""
