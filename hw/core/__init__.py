"""The core: one machine for every network of the contract.

Read in this order; what stands in brackets are parts of the one before. `payloads` says what crosses between them::

    core         all of it, and how it is joined: the drawing
    sequencer    leads through an image: stages, rounds, passes, decision, result
    walker       leads through a pass: tiles, and the words that each gathers
                 (pass_reader, tile_loops, tile_cursor, line_walker and tap_walker, or word_walker)
    group        what is there once for every group of lanes: the drawing of the next four
    fetch        requests become words, and wait (word_queue)
    gather       words become events, their weights are fetched (mask_encoder, halves)
    lanes        events times weights become sums
    firing       sums become counts and states, then words of a map
                 (tile_queue, drain, state_store, neuron, pooler, word_writer; state_stream, state_queue)
    map_writer   words of all groups become the map, in every group's copy

Around them: image_writer, output_store and output_sum, decision (softmax), result_reader, counters, loader
(block_decoder), outside (copier, write_behind). Below them: memory (contents, single_port), choice, sums, times.
"""
