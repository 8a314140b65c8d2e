"""Where workers and consumers live, and how they are looked after and killed; what they do is not known here."""
