"""Reviews of plans: what they are held to, what models are asked, what is mended."""
