"""Shortcuts: predictivity against availability, equal cues, input gradients."""
