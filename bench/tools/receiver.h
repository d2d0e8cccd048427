// A callback receiver that costs next to nothing: reads POSTs, answers 204, tells the ledger.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "poller.h"

namespace sterna::bench {

class Receiver final : public Pollable {
 public:
  // Call id and body of each callback, before it is answered.
  using OnCallback = std::function<void(std::string_view id, std::string_view body)>;

  // Listens on a free port of 127.0.0.1 from now on.
  Receiver(Poller& poller, OnCallback on_callback);
  ~Receiver() override;

  std::string url() const;
  void on_readable() override;  // a new connection

 private:
  class Connection;

  Poller& poller_;
  OnCallback on_callback_;
  UniqueFd listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace sterna::bench
