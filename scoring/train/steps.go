package train

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
)

// steps trains from the step after done to the last.
func (r *run) steps(ctx context.Context, done int) error {
	tokens := make([]int32, r.plan.BatchSize*r.plan.SequenceLength)
	for step := done + 1; step <= r.plan.Steps; step++ {
		if ctx.Err() != nil {
			if err := r.checkpoint(step - 1); err != nil {
				return err
			}
			return fmt.Errorf("stopped after step %d of %d, run again to go on: %w", step-1, r.plan.Steps, ctx.Err())
		}
		if err := r.batch(step, tokens); err != nil {
			return err
		}
		if err := r.step(step, tokens); err != nil {
			return err
		}
		if step == r.plan.Steps || r.plan.EvalEvery > 0 && step%r.plan.EvalEvery == 0 {
			if err := r.evaluate(step); err != nil {
				return err
			}
		}
		if step%r.plan.CheckpointEvery == 0 && step < r.plan.Steps {
			if err := r.checkpoint(step); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch fills tokens with the sequences of a step.
func (r *run) batch(step int, tokens []int32) error {
	epoch, first := (step-1)/r.plan.StepsPerEpoch, (step-1)%r.plan.StepsPerEpoch*r.plan.BatchSize
	order := newPermutation(uint64(r.plan.Sequences), r.opt.Seed, uint64(epoch))
	length := r.plan.SequenceLength
	for i := range r.plan.BatchSize {
		if err := r.train.read(int64(order.at(uint64(first+i))), tokens[i*length:(i+1)*length]); err != nil {
			return err
		}
	}
	return nil
}

// step takes one step and logs it.
func (r *run) step(step int, tokens []int32) error {
	line := Step{Step: step, Tokens: r.plan.Tokens(step), LR: r.plan.schedule(r.opt.LearningRate).At(step)}
	var err error
	if line.Loss, line.ZLoss, line.GradNorm, err = r.engine.step(step, line.LR, tokens); err != nil {
		return err
	}
	if sum := float64(line.Loss) + float64(line.ZLoss) + float64(line.GradNorm); math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("training diverged at step %d: loss %v, gradient norm %v; lower the learning rate (%v) or lengthen the warm-up (%d steps)",
			step, line.Loss, line.GradNorm, r.opt.LearningRate, r.plan.WarmupSteps)
	}
	r.result.LastLoss = line.Loss
	if r.opt.Events.Step != nil {
		r.opt.Events.Step(line)
	}
	return r.log.append(line)
}

// evaluate logs the held-out loss, if there is anything held out.
func (r *run) evaluate(step int) error {
	if r.heldout.count == 0 {
		return nil
	}
	rows, length := r.plan.MicroBatch, r.plan.SequenceLength
	tokens := make([]int32, rows*length)
	var sum float64
	for at := int64(0); at < r.heldout.count; at += int64(rows) {
		real := int(min(int64(rows), r.heldout.count-at)) // the rest of the last batch repeats and is not counted
		for i := range real {
			if err := r.heldout.read(at+int64(i), tokens[i*length:(i+1)*length]); err != nil {
				return err
			}
		}
		losses, err := r.engine.losses(tokens)
		if err != nil {
			return err
		}
		for _, loss := range losses[:real] {
			sum += float64(loss)
		}
	}
	line := Eval{Step: step, Tokens: r.plan.Tokens(step), HeldoutLoss: sum / float64(r.heldout.count)}
	if math.IsNaN(line.HeldoutLoss) || math.IsInf(line.HeldoutLoss, 0) {
		return fmt.Errorf("held-out loss after step %d is %v", step, line.HeldoutLoss)
	}
	if step == 0 {
		r.result.HeldoutFrom = &line.HeldoutLoss
	}
	r.result.Heldout = &line.HeldoutLoss
	if r.opt.Events.Eval != nil {
		r.opt.Events.Eval(line)
	}
	return r.log.append(line)
}

// checkpoint makes the state after a step durable, log first.
func (r *run) checkpoint(step int) error {
	if step == r.saved { // 0 included: the start needs none
		return nil
	}
	if err := r.log.sync(); err != nil {
		return err
	}
	head := checkpointHead{Key: r.result.Key, Step: step, LogSize: r.log.size}
	if err := writeCheckpoint(filepath.Join(r.work, checkpointFile), head, r.engine); err != nil {
		return err
	}
	r.saved = step
	if r.opt.Events.Checkpoint != nil {
		r.opt.Events.Checkpoint(step)
	}
	return nil
}
