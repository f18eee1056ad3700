"""What the models say of images, and how good that is: by class, by slice, beside people."""
