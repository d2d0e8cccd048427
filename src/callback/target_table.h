// Shares the sender among its targets, so that a slow or dead one does not hold up the others: transfers at
// once, posts in line, and a rest after failures. No I/O: the time is passed in.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "callback/sender.h"
#include "callback/sender_limits.h"
#include "callback/target.h"

namespace sterna::callback {

struct TargetState;

// A post on its way through the sender.
struct PendingPost {
  Post post;
  Sender::Done done;
  Target target;
  TargetState* state = nullptr;  // set while the table has it in hand
  bool probe = false;            // the one that tries a resting target
  MonotonicTime began;           // set when it leaves the line
};
using PendingPostPtr = std::unique_ptr<PendingPost>;

// Whether the target could be talked to, whatever it said.
enum class Reach : std::uint8_t { kAnswered, kFailed, kUnknown };

// One thread.
class TargetTable {
 public:
  struct Refusal {
    PendingPostPtr post;
    Duration retry_after;
    std::string detail;
    bool rests = false;  // it has not answered lately
  };

  explicit TargetTable(const SenderLimits& limits);
  ~TargetTable();

  // Takes `post` in hand, or refuses it: its target rests, or is slow and has more than its share of all
  // posts in hand. Its share is as many as there are places free, so that n slow targets leave 1/(n+1) of the
  // places to others.
  std::optional<Refusal> add(PendingPostPtr post, MonotonicTime now);

  // The next post to send, of one target after another; null when none may be sent. It is in hand until
  // `end`.
  PendingPostPtr next(MonotonicTime now);

  // A post that `next` gave is over. Answers the posts in line that are given back because the target rests
  // now.
  std::vector<Refusal> end(PendingPost& post, Reach reach, MonotonicTime now);

  // Gives back what is over their share from the lines of targets that have become slow since. To be called
  // now and then while posts wait.
  std::vector<Refusal> shed(MonotonicTime now);

  std::size_t in_hand() const { return in_hand_; }
  std::size_t waiting() const { return waiting_; }  // of those, in line
  std::size_t size() const { return states_.size(); }

 private:
  TargetState& state_of(const std::string& origin);
  Refusal refuse(TargetState& state, PendingPostPtr post, Duration at_least, std::string detail,
                 MonotonicTime now);
  Refusal refuse_resting(TargetState& state, PendingPostPtr post, MonotonicTime now);
  bool is_slow(const TargetState& state, MonotonicTime now) const;
  PendingPostPtr take_last(TargetState& state);
  void mark_ready(TargetState& state);
  void release(TargetState& state);
  bool note_failure(TargetState& state, const PendingPost& post, MonotonicTime now);

  const SenderLimits limits_;
  std::unordered_map<std::string, std::unique_ptr<TargetState>> states_;
  std::list<TargetState*> idle_;    // nothing in hand, longest idle first
  std::deque<TargetState*> ready_;  // a post in line and a transfer free
  std::size_t in_hand_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace sterna::callback
