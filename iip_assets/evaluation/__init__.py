"""What the models say of pictures, and how good that is: by class, by slice, beside people."""
