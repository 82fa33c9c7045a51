"""A static check of what runs in 3D Slicer: the mistakes that PySide forgives and PythonQt does not.

    python Testing/pythonqt_check [FILE ...]      # default: every file that ships; exit code 1 if there are findings

It knows the classes of the panel's widgets from the .ui files, and their properties, signals and slots from facts.json,
which Utilities/make_pythonqt_facts.py reads from Qt's meta-objects and the headers of CTK and Slicer. Each module of
rules/ is one family of rules. Of what it cannot know it says nothing.
"""
