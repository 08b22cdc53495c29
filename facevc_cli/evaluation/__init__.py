"""The work of `facevc evaluate`: metrics, judges, intervals, the report, and the listening study."""
