"""What `facevc evaluate` does: metrics, judges, intervals, the report, the listening study."""
