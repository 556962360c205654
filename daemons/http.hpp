// The HTTP server of ringwayd: cpp-httplib, with total times instead of times between two bytes.
//
// Thread safety: add routes first; listen() then serves until stop(), which any thread may call. Progress: bounded per request
// by Limits, however steadily a client trickles.
#pragma once

#include <string>

#include "connections.hpp"

namespace ringway::daemon {

class HttpServer final : public httplib::Server {
 public:
  explicit HttpServer(const Limits& limits);

  // Throws std::runtime_error with the address and the cause. Port 0: any; port() tells.
  void bind(const std::string& host, int port);
  [[nodiscard]] int port() const { return port_; }
  // Serves until drain(); returns when the last answer is out.
  void serve() { listen_after_bind(); }
  void drain();

  // To be asked by another task queue than the one it starts with.
  [[nodiscard]] Connections& connections() { return connections_; }

 private:
  bool process_and_close_socket(socket_t socket) override;

  Limits limits_;
  Connections connections_;
  int port_ = 0;
};

}  // namespace ringway::daemon
