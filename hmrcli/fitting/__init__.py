"""SMPLify-style fitting: pose, shape and camera of a body model from 2D and 3D landmarks."""
