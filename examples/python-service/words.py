"""Counts the words of a text."""
import collections
import re


def count(text, most=10):
    """Returns the most frequent words as [(word, times)], the most frequent first."""
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())
    return collections.Counter(words).most_common(most)
