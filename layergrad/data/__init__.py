"""From sources to the samples of a task: fetch, read, render, make irrelevant responses, select."""
