"""From a photo to people: reading images, finding people, recovering and placing their bodies."""
