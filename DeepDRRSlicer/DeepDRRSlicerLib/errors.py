"""The one exception that is meant for the person at the screen."""


class InputError(ValueError):
    """Input that cannot be used. Its text is one sentence that names the cause and the remedy."""
