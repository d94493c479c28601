"""The version of hmm, as files and the command state it."""

VERSION = "0.1.0"
