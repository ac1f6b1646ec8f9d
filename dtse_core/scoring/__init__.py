"""Scores masks against the truth, from a model or from a folder of masks.

clips          a model on the clips of a data set, one mask each
answers        a checkpoint's masks for any data set, in the form in which mask_reader gives those of a folder
blind_answers  answers that ignore the sentence: what a model must beat
protocols      what is asked together and how it is scored, by kind of data set
records        what is kept of a sample, a sentence over a video, a sequence
video_metrics  J and F of whole videos, labels matched with objects
summary        a protocol's numbers from the records
calibration    the confidence below which nothing is marked
diagnosis      the diagnostic world (the toy world's level 2) by kind, depth and slice
published      results that papers report
tables         these numbers as text and as Markdown
pictures       the worst and the best cases, drawn
mask_files     how predicted masks lie on disk; writing them
mask_reader    reading them from a folder or a zip
submission     zips for the servers, written and validated
"""
