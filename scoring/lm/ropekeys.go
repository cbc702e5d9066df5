package lm

import "math"

// rope reads the scaling of rotary positions, in the form of today
// (rope_parameters) or of before (rope_scaling); theta and partial hold where
// the object does not say. positions is the longest sequence.
func (k *keys) rope(theta, partial float64, headDim, positions int) Rope {
	r := Rope{Theta: theta}
	key := "rope_parameters"
	if k.has("rope_scaling") {
		if key = "rope_scaling"; k.has("rope_parameters") {
			k.fault("rope_scaling and rope_parameters: want one of them")
		}
	}
	k.inert("rope_scaling", "rope_parameters")
	k.object(key, func(s *keys) {
		r.Theta = s.number("rope_theta", theta)
		partial = s.number("partial_rotary_factor", partial)
		kind := s.text("rope_type", s.text("type", "default"))
		switch kind {
		case "default":
		case "linear":
			r.Kind, r.Factor = kind, s.positive("factor")
		case "dynamic": // changes the angles of sequences longer than positions only, and there are none
			s.positive("factor")
		case "llama3":
			s.llama3(&r, positions)
		case "yarn":
			s.yarn(&r, positions)
		default:
			s.fault("rope_type = %q is not implemented, only default, linear, dynamic, llama3 and yarn", kind)
			for key := range s.all {
				s.inert(key)
			}
		}
	})
	r.Dim = int(float64(headDim) * partial)
	return r
}

func (k *keys) llama3(r *Rope, positions int) {
	r.Kind, r.Factor, r.Original = "llama3", k.positive("factor"), k.count("original_max_position_embeddings", positions)
	r.LowFactor, r.HighFactor = k.positive("low_freq_factor"), k.positive("high_freq_factor")
	if r.HighFactor == r.LowFactor {
		k.fault("high_freq_factor = %v equals low_freq_factor: want a larger one", r.HighFactor)
	}
}

func (k *keys) yarn(r *Rope, positions int) {
	k.inert("finetuned") // says how the model came about
	r.Kind, r.Original, r.Truncate = "yarn", k.count("original_max_position_embeddings", positions), k.flag("truncate", true)
	if r.Factor = float64(positions) / float64(r.Original); k.has("factor") {
		r.Factor = k.positive("factor")
	}
	if k.inert("factor"); !k.has("factor") && !k.isNull("factor") {
		k.fault("factor is missing")
	}
	// 0 means absent here, as in transformers.
	if r.BetaFast = k.number("beta_fast", 32); r.BetaFast == 0 {
		r.BetaFast = 32
	}
	if r.BetaSlow = k.number("beta_slow", 1); r.BetaSlow == 0 {
		r.BetaSlow = 1
	}
	grown := func(weight float64) float64 {
		if r.Factor <= 1 {
			return 1
		}
		return 0.1*weight*math.Log(r.Factor) + 1
	}
	r.Attention = grown(1)
	if one, all := k.number("mscale", 0), k.number("mscale_all_dim", 0); one != 0 && all != 0 {
		r.Attention = grown(one) / grown(all)
	}
	r.Attention = k.number("attention_factor", r.Attention)
}
