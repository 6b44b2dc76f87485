"""A page on which a person puts labels right, and watches the classifier get better."""
