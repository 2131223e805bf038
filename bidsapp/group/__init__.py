"""The group stage: read the estimates of subjects, fit, shuffle, and write what was found."""
