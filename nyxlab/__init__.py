"""nyxlab: which provider should do this step, and is this plan consistent enough to build?"""
