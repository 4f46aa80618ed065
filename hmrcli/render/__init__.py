"""Pictures and mesh files of people: a z-buffer rasteriser, overlays on photos, glb/obj/ply."""
