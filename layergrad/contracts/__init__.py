"""What every floor agrees on: keys, tables, paths, the configuration, and how errors are told."""
