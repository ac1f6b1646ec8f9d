"""The toy world's second level: a diagnostic benchmark for referring video segmentation.

The first level teaches a model to learn; this one asks what it has learned. Same cast, same drawing code:

    scene      3 to 9 actors whose sizes differ by a factor of up to 8, at rest or as fast as 12 pixels a frame; boxes
               that hide them, a camera that pans, light that changes; in whole numbers
    facts      what a scene shows, with margins: yes, no, or unclear where people would not agree
    programs   the typed language behind the sentences, its execution, and its JSON
    words      a grammar that says a program in several ways
    cast       scenes for each kind of sentence, with distractors that share all but one part
    sentences  programs that are true, clear, and of which every part is needed
    slices     families of minimal pairs, and the computed ceilings of blinded observers
    world      clips by number
    clips      the same as a data set, `data.level 2`, and for the writers of files
    edition    hashes by which a copy is known

    clip = DiagnosticWorld("test").clip(0)
    frames, ids = render(clip.scene, range(clip.scene.length))
    mask = np.isin(ids, clip.sentences[0].targets)
"""
