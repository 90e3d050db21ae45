"""Files: where images are, what lists name, what a file holds, and its pixels."""
