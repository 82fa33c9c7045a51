"""A 3D Slicer scene with its logics and off-screen views, on the slicer-core wheel instead of the application."""
