"""The reviewer finds what is wrong with a plan, quotes it, and writes the phased prompt that fixes it."""
